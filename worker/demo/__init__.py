"""The bundled model, its pictures, the script that made both, and the stage that `moderate demo` plays on."""
