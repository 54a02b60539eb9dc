"""What runs on the other machine and reads its store. Python 3.9 and the standard library alone: it is sent
as text to machines that have no lvmtui."""
