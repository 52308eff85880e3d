"""Backup and restore of a home (`docs/decisions/0008`)."""
