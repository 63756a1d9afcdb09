"""The whole product on one small example, in a scratch home, without a network."""
