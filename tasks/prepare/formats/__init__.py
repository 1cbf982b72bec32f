"""File formats that several readers share: MXNet records, pickles of arrays and lists alone, tars, tables; nothing in them is executed."""
