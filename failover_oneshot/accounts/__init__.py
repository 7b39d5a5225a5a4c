"""The swap methods: how an account becomes the active one."""
