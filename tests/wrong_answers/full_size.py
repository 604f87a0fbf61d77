"""Wrong answers as a student might write them, and words of the hint that each deserves."""


def only_the_picture(noisy, velocity, timestep, alphas_cumprod):
    level = alphas_cumprod[timestep][:, None, None, None, None]
    return level**0.5 * noisy - (1 - level) ** 0.5 * velocity


def wrong_sign(noisy, velocity, timestep, alphas_cumprod):
    level = alphas_cumprod[timestep][:, None, None, None, None]
    return level**0.5 * velocity - (1 - level) ** 0.5 * noisy


def without_roots(noisy, velocity, timestep, alphas_cumprod):
    level = alphas_cumprod[timestep][:, None, None, None, None]
    return level * velocity + (1 - level) * noisy


def all_at_once(frames, height, width, heads):
    tokens = frames * height * width
    return heads * tokens**2, heads * tokens**2


WRONG = {
    "peak_of_a_run": [
        (lambda stays, parts: sum([stays, *parts]), "loaded together"),
        (lambda stays, parts: sorted(parts)[-1], "missing"),
        (lambda stays, parts: stays + parts[0], "first part"),
    ],
    "attention_scores": [
        (lambda f, h, w, n: (n * h * w * f**2, n * f * (h * w) ** 2), "exchanged"),
        (lambda f, h, w, n: (f * (h * w) ** 2, h * w * f**2), "number is missing"),
        (all_at_once, "affordable"),
    ],
    "velocity_as_noise": [
        (lambda noisy, velocity, timestep, alphas_cumprod: velocity, "as it is"),
        (only_the_picture, "clean picture"),
        (wrong_sign, "added"),
        (without_roots, "square roots"),
    ],
}
