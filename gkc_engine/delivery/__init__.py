"""Reports that are sent by themselves: when each is due, its making, the outbox, SMTP."""
