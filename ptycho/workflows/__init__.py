"""The commands as functions: settings in, stages called in the order of the data, result out."""
