"""Appearance-invariant prompts: the paper's own pairs, and what readers will write."""

import itertools
import random

import numpy as np
import pytest

from vmc.errors import BadInput
from vmc.prompts import appearance_invariant
from vmc.sprites import Scene
from vmc.sprites.motions import NAMED, held_out, named
from vmc.sprites.places import PLACES
from vmc.sprites.scene import COLOURS, STYLES
from vmc.sprites.shapes import SUBJECTS

PAPER = {
    # Secs. 1 and 3.2, Figs. 1, 2, 4, 5 and 8: as written there, with what it becomes.
    "A bird is flying above a lake in the forest": "A bird is flying",
    "A cat is roaring on the grass under the tree.": "A cat is roaring.",
    "a cat is roaring on the grass under the tree": "a cat is roaring",
    "A chicken is walking in a city": "A chicken is walking",
    "Two airplanes are moving in the sky.": "Two airplanes are moving.",
    # Figs. 4, 5, 8 and 14 to 18: prompts of the tuning, which are what they should be.
    "A cat is roaring": "A cat is roaring",
    "Two sharks are moving.": "Two sharks are moving.",
    "A seagull is walking backward.": "A seagull is walking backward.",
    "a bird walking backward": "a bird walking backward",
    "Sharks are moving": "Sharks are moving",
    "A seagull is walking": "A seagull is walking",
    "Ink is spreading": "Ink is spreading",
    "A man is snowboarding": "A man is snowboarding",
    "A tiger is walking": "A tiger is walking",
}
SUBJECTS_IN_PLACES = {
    "a man and a dog are running on the beach": "a man and a dog are running",
    "A man, a woman and a dog are running on sand": "A man, a woman and a dog are running",
    "a flock of birds is flying over the sea": "a flock of birds is flying",
    "two airplanes and a bird are flying in the sky above clouds": (
        "two airplanes and a bird are flying"
    ),
    "a cat is running on the grass and a dog is jumping over a fence": (
        "a cat is running and a dog is jumping"
    ),
    "a bird is flying above a lake and a forest": "a bird is flying",
    "a bird is flying above a lake and singing": "a bird is flying and singing",
    "a dog is running, jumping, and barking in the park": "a dog is running, jumping, and barking",
    "a dog is running in a park, chasing a ball": "a dog is running, chasing a ball",
    "a man is riding a horse on the beach": "a man is riding a horse",
    "a man is walking with a dog on the street": "a man is walking with a dog",
    "a bird on a branch is singing": "a bird is singing",
    "a man with a hat in a coat is walking": "a man is walking",
    "a cat is moving with mountains in the background": "a cat is moving",
    "In the forest a bird is flying": "A bird is flying",
    "On the beach, a man and a dog are running": "A man and a dog are running",
    "pills are falling underwater": "pills are falling",
    "a dog is running outside": "a dog is running",
    "a dog is running outside the house": "a dog is running",
    "a car is moving at night": "a car is moving",
    "a thing is moving at sunset": "a thing is moving",
    "A bird is flying. The sky is clear.": "A bird is flying.",
    "there is a dog running in the park": "there is a dog running",
    "THE DOG IS RUNNING IN THE PARK": "THE DOG IS RUNNING",
}
WITHOUT_IS = {
    "a dog running in the park": "a dog running",
    "seagull walking on the beach": "seagull walking",
    "a bird flies above a lake": "a bird flies",
    "a running dog in the park": "a running dog",
    "a cat on the grass": "a cat",
}
MOTIONS = {
    "a seagull is walking backwards on the sand": "a seagull is walking backwards",
    "a seagull is walking on the sand backwards": "a seagull is walking backwards",
    "a star is falling down from the sky": "a star is falling down",
    "a ball is moving to the right of the tree": "a ball is moving to the right",
    "a ball is moving from left to right across the screen": (
        "a ball is moving from left to right"
    ),
    "a ball is moving from the left side of the screen to the right side": (
        "a ball is moving from the left side to the right side"
    ),
    "a fish is moving left underwater": "a fish is moving left",
    "a dog is running in the left lane": "a dog is running",
    "a man is walking in circles on the grass": "a man is walking in circles",
    "a man is moving in a circle around the tree": "a man is moving in a circle",
    "a top is spinning around on a table": "a top is spinning around",
    "a wheel is spinning on its axis in a room": "a wheel is spinning on its axis",
    "people are walking around the lake": "people are walking around",
    "a ball is moving up and down the screen": "a ball is moving up and down",
    "a squirrel is climbing up a tree": "a squirrel is climbing up",
    "a car is driving down the road": "a car is driving",
    "a plane is taking off from the water": "a plane is taking off",
    "a man is running out of the house": "a man is running out",
    "a car is driving away from the camera in the desert": (
        "a car is driving away from the camera"
    ),
    "a train moving through a tunnel towards the camera": "a train moving towards the camera",
    "two horses are running side by side on a field": "two horses are running side by side",
    "a plane is passing by": "a plane is passing by",
    "a rock is falling from above": "a rock is falling from above",
    "a flower is blooming in slow motion in a garden": "a flower is blooming in slow motion",
    "a car is driving at full speed on the highway": "a car is driving at full speed",
    "a man is walking on the beach slowly": "a man is walking slowly",
    "a man is slowly eating an apple in the kitchen": "a man is slowly eating an apple",
    "a cat is about to jump on a table": "a cat is about to jump",
}
COLOURED = {
    "a blue star is moving on the snow": "a star is moving",
    "a brown bear is walking": "a bear is walking",
    "an orange cat is sleeping": "a cat is sleeping",
    "a blue eagle is flying": "an eagle is flying",
    "A white unicorn is running": "A unicorn is running",
    "an old umbrella is falling": "an old umbrella is falling",
    "a black and white cat is jumping": "a cat is jumping",
    "a light blue and dark green car is turning": "a car is turning",
    "a red-haired man is riding a brown horse": "a man is riding a horse",
    "a blue butterfly and a red building are moving": "a butterfly and a building are moving",
    "a red spinning ball is falling": "a spinning ball is falling",
    # Where the word is the subject, or the motion, it stays.
    "an orange is rolling on a table": "an orange is rolling",
    "an orange rolling on a table": "an orange rolling",
    "a leaf is turning red": "a leaf is turning red",
}
STYLED = {
    "a car is moving, in neon style": "a car is moving",
    "a car is moving in neon style": "a car is moving",
    "a car is moving pixel art style": "a car is moving",
    "a star is moving in the style of watercolour": "a star is moving",
    "a star is moving in the forest in the style of Van Gogh": "a star is moving",
    "A neon car is driving at night, cinematic, 4k": "A car is driving",
    "Pixel art style, a bird is flying": "A bird is flying",
    "A pixel art airplane is turning": "An airplane is turning",
    "A video of a dog running in the park": "A dog running",
    "A watercolour painting of a bird flying": "A bird flying",
    "a sketch is moving": "a sketch is moving",
}
PAIRS = PAPER | SUBJECTS_IN_PLACES | WITHOUT_IS | MOTIONS | COLOURED | STYLED


@pytest.mark.parametrize("prompt, expected", PAIRS.items())
def test_what_remains(prompt, expected):
    assert appearance_invariant(prompt) == expected
    assert appearance_invariant(expected) == expected


def test_every_caption_of_the_rendered_world():
    motions = [held_out("zigzag"), *(named(name, np.random.default_rng(0)) for name in NAMED)]
    looks = zip(*map(itertools.cycle, (COLOURS, STYLES, motions)), strict=True)
    scenes = itertools.product(SUBJECTS, PLACES, [1, 2])
    for (subject, place, count), (colour, style, motion) in zip(scenes, looks, strict=False):
        caption = Scene(subject, colour, place, motion, style, count).caption()
        article = "two" if count == 2 else "an" if subject[0] in "aeiou" else "a"
        plural = "" if count == 1 or subject == "fish" else "s"
        verb = motion.name if motion.name in NAMED else "moving"
        expected = f"{article} {subject}{plural} {'is' if count == 1 else 'are'} {verb}"
        assert appearance_invariant(caption) == expected


def test_what_says_no_motion_is_left_alone():
    for prompt in (
        "in the forest",
        "neon style",
        "underwater",
        "and",
        ",",
        "...",
        "새가 날고 있다",
    ):
        assert appearance_invariant(prompt) == prompt
    text = 'a "man" moving at 50% speed — quickly!'
    assert appearance_invariant(text) == text
    assert appearance_invariant("  a bird\n  is flying ") == "a bird is flying"


def test_any_words_give_some_of_these_words():
    vocabulary = sorted({word for prompt in PAIRS for word in prompt.split()})
    rng = random.Random(0)
    for _ in range(1000):
        words = rng.choices(vocabulary, k=rng.randint(1, 12))
        left = appearance_invariant(" ".join(words)).lower().replace(",", " ").replace(".", " ")
        given = " ".join(words).lower().replace(",", " ").replace(".", " ").split()
        assert left.strip() or not given
        assert set(left.split()) <= {*given, "a", "an"}


@pytest.mark.parametrize("prompt", ["", "   ", "\n", None, 3, ["a bird"]])
def test_an_empty_prompt_is_refused(prompt):
    with pytest.raises(BadInput, match="prompt is empty or no text; say what moves"):
        appearance_invariant(prompt)
