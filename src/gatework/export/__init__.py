"""What leaves the workshop: trained networks in forms that other programs run."""
