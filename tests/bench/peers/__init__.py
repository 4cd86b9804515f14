"""Plain pipelines doing the same work, written as their documentation recommends; never imported by the product."""
