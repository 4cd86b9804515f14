"""The core's migrations, numbered and shipped with the package."""
