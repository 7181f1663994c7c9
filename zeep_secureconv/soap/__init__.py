"""SOAP itself: envelopes by position, addressing headers, faults, and parsing without risk."""
