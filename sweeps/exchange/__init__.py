"""Trials that leave gelo, each with a card that says what it is and what was measured of it, and encoders that come from elsewhere."""
