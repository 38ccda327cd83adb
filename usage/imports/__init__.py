"""Read jobs out of a CSV file as a column map says: pure, but for reading the file.

Owns: the column map, the rows of the file, what each row says, and the ids of jobs without one.
Does not own: storing (``usage.operations.import_jobs``) and what is a valid event
(``usage.ingest``), which decides for a row of a file as it does for a request.
"""
