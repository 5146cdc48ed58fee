"""Random backgrounds have the size asked for, look varied and repeat with their seed."""

import numpy as np

from pcavs.synth.backgrounds import random_background, random_room


def test_rooms_have_light_and_depth_and_repeat_with_their_seed() -> None:
    rooms = [random_room(48, np.random.default_rng(seed)) for seed in range(12)]
    np.testing.assert_array_equal(rooms[0], random_room(48, np.random.default_rng(0)))
    assert np.median([room.std() for room in rooms]) > 12
    assert 25 < np.median([room.mean() for room in rooms]) < 200


def test_backgrounds_of_every_kind_have_the_given_size() -> None:
    shapes = {random_background(32, np.random.default_rng(seed)).shape for seed in range(12)}
    assert shapes == {(32, 32, 3)}
