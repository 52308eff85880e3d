"""Tools for operators. No service imports anything from here."""
