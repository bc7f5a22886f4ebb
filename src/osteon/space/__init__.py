"""Where things lie: volumes, anatomy, paths and surfaces in patient LPS millimetres."""
