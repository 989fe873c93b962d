"""Building blocks for methods: encoders, decoders, losses. Nothing here knows how a method is judged."""
