"""The life of a security context: asked for, issued, kept, given back."""
