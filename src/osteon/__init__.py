"""osteon follows one patient's bone metastasis along the clinical path. Research use only, not a medical device."""

__version__ = "0.1.0"
NUMBERS_VERSION = 1  # raised with every change that moves a computed result; part of every cache key
