"""The embedded SES, tried by the clients it is made for."""
