"""Physical phenomena; nothing here knows a patient."""
