"""The bundled model, the sample pictures, and the environment that `moderate demo` runs in."""
