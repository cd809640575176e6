import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.groups import held_out, sibling_groups


def noise(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    image = np.random.default_rng(seed).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def recoloured(image: np.ndarray, *, tint: float) -> np.ndarray:  # type: ignore[type-arg]
    """One hue, as an artist makes a red and a blue potion: shading stays, colour goes."""
    shade = image[..., :3].mean(axis=2, keepdims=True)
    colour = shade * np.array([1.0, tint, 1.0 - tint])
    return np.concatenate([colour.astype(np.uint8), image[..., 3:]], axis=2)


def test_a_recolouring_a_frame_and_an_equal_name_are_siblings() -> None:
    red, blue = recoloured(noise(0), tint=0.1), recoloured(noise(0), tint=0.7)
    frame = red.copy()
    frame[:4, :4] = noise(7)[:4, :4]
    other, named = noise(1), noise(2)
    groups = sibling_groups(
        ["potion red", "b", "c", "orc", "orc"], [red, blue, frame, other, named]
    )
    assert groups == ["b", "b", "b", "orc", "orc"]


def test_flat_and_unlike_images_stay_apart() -> None:
    flat = np.full((16, 16, 4), 255, dtype=np.uint8)
    images = [flat, flat // 2, *(noise(n) for n in range(6))]
    names = [str(n) for n in range(8)]
    assert sibling_groups(names, images) == names


@given(
    st.lists(st.integers(0, 12).map(str), min_size=1, max_size=60),
    st.floats(0, 0.5),
    st.integers(0, 9),
)
def test_groups_go_whole_and_never_beyond_the_share(
    groups: list[str], fraction: float, seed: int
) -> None:
    out = held_out(groups, fraction=fraction, seed=seed)
    assert out.sum() <= round(fraction * len(groups))
    sides = {(group, bool(is_out)) for group, is_out in zip(groups, out, strict=True)}
    assert len(sides) == len(set(groups))
