"""Measurements of zeep_secureconv beside Apache CXF; README.md says how to read them."""
