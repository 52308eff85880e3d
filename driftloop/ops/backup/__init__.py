"""A copy of a home as it was at one moment, and a home out of such a copy (`docs/decisions/0008`)."""
