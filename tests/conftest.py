"""What holds for all tests: an example may take as long as the machine needs, speeds are not asserted.

Everything is said in English, whoever runs them.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("securechat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("securechat")

os.environ["LANGUAGE"] = "en"
