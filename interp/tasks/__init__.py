"""What is learned: a finite table of inputs and labels, its split, and its harmonics where it has some."""
