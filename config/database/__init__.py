"""The database backend of Django's settings."""
