"""`python -m lvmtui` is the command `lvmtui`."""

import sys

from lvmtui.start import main

if __name__ == "__main__":
    sys.exit(main())
