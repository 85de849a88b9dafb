"""The array libraries that xpnet comes with, one module each; none is imported before it is asked for."""
