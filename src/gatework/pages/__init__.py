"""How any page of ours looks: pictures, templates, numbers as people read them; light, dark and print."""
