"""Who may do what: permissions, roles, users."""
