"""What holds for all tests: an example may take as long as the machine needs, speeds are not asserted.

Everything is said in English, whoever runs them.
"""

import os
from typing import Final

from hypothesis import HealthCheck, settings

# The gate tries the same examples each time; by hand each run tries others.
GATE: Final = os.environ.get("CI") == "true"

settings.register_profile(
    "securechat", deadline=None, derandomize=GATE, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("securechat")

os.environ["LANGUAGE"] = "en"
