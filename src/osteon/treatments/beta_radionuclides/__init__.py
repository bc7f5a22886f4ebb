"""Beta-emitting radionuclides."""
