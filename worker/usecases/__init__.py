"""One file for each thing the service does; read `moderate_image` first."""
