"""The judge: does a convolution compute what its geometry says?"""
