"""How long what is known of citizens is kept, and how it is destroyed (152-ФЗ, art. 5 and 21)."""
