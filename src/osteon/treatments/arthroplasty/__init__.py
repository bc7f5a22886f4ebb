"""Hemiarthroplasty or total arthroplasty."""
