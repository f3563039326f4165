"""HAProxy, SPOP and the recording of exchanges. No decision about a request is made here."""
