"""What the images and the chart say of each lesion."""
