"""batchpol: sending authorization policies for thousands of Amazon SES identities."""
