"""Import paths of the users' documents; the functions live in `ptycho.api`."""
