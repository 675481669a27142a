"""One module for each family of formats; `ptycho.io.formats` is the table that names them."""
