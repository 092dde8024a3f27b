"""pyinfra's own configuration, read from the current folder before anything else.

It must be set on the imported `config`: a bare assignment in this file does nothing.
"""

from pyinfra.context import config

# A run stops at the first failed host, so that server 2 is not touched after server 1 failed (pyinfra's `-y` goes on).
config.FAIL_PERCENT = 0
