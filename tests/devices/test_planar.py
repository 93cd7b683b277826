"""Plane rectangular coordinates become degrees as the surveyors' own tools say."""

from __future__ import annotations

from math import hypot, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.planar import to_degrees

GSI = (  # examples of the Geospatial Information Authority's calculator, zone IX
    (6677, 11543.688321482, 22916.243554544, 36.103774791666666, 140.08785504166664),
    (6677, 11573.375, 22694.980, 36.104047552508895, 140.08539842726532),
)
PROJ = (  # Transformer.from_crs(epsg, 6668) of pyproj 3.7.2, PROJ 9.5.1
    (6669, 102102.257, -30230.933, 33.920222351, 129.173044805),
    (6670, -120252.826, -108159.309, 31.910359209, 129.856404514),
    (6671, 162166.569, -108234.86, 37.455133892, 130.943276388),
    (6672, -123134.15, -65096.787, 31.887655771, 132.811871319),
    (6673, 84745.57, 110551.115, 36.757340603, 135.571490866),
    (6674, -41361.281, -28445.575, 35.626779968, 135.685953861),
    (6675, -157682.646, -106593.93, 34.573071824, 136.004916117),
    (6676, -23258.424, -113582.395, 35.783798414, 137.243591179),
    (6677, -174023.917, -68790.182, 34.428986252, 139.084878083),
    (6678, 92424.262, -102118.705, 40.826061759, 139.622656842),
    (6679, -178692.267, -116378.9, 42.382685981, 138.836692049),
    (6680, -141374.491, -83303.526, 42.722856419, 141.232846126),
    (6681, -84094.663, -118006.56, 43.233803124, 142.797138521),
    (6682, -198505.513, -112384.748, 24.203825371, 140.893686848),
    (6683, 11043.062, -74102.856, 26.09778422, 126.759167023),
    (6684, -60445.187, 66270.656, 25.452853018, 124.658961781),
    (6685, -149453.347, -108821.251, 24.646893619, 129.925014803),
    (6686, -92575.279, -82422.253, 19.161966502, 135.216382847),
    (6687, -64429.642, -41380.64, 25.41778498, 153.5886475),
)
MILLIMETRE = 1e-8  # of a degree, about


@pytest.mark.parametrize(("epsg", "north_m", "east_m", "latitude", "longitude"), GSI + PROJ)
def test_a_point_is_where_the_surveyors_say(
    epsg: int, north_m: float, east_m: float, latitude: float, longitude: float
) -> None:
    point = to_degrees(epsg, north_m, east_m)
    assert abs(point.latitude - latitude) < MILLIMETRE
    assert abs(point.longitude - longitude) < MILLIMETRE


@pytest.mark.parametrize(
    ("epsg", "north_m", "east_m"),
    [
        (6668, 0.0, 0.0),
        (6688, 0.0, 0.0),
        (4326, 0.0, 0.0),
        (6670, 700_001.0, 0.0),
        (6670, 0.0, -400_001.0),
        (6670, float("nan"), 0.0),
        (6670, 0.0, float("inf")),
    ],
)
def test_what_no_zone_reaches_is_refused(epsg: int, north_m: float, east_m: float) -> None:
    with pytest.raises(ValueError, match=r"expected|no zone reaches"):
        to_degrees(epsg, north_m, east_m)


@given(
    st.integers(6669, 6687),
    st.floats(-300_000, 300_000),
    st.floats(-150_000, 150_000),
    st.floats(1, 100),
)
def test_a_step_of_metres_is_a_step_of_those_metres(
    epsg: int, north_m: float, east_m: float, step_m: float
) -> None:
    """North is north and east is east, to the scale and convergence of the projection."""
    here, there = to_degrees(epsg, north_m, east_m), to_degrees(epsg, north_m + step_m, east_m)
    lat_m = (there.latitude - here.latitude) * 111_000
    lon_m = (there.longitude - here.longitude) * 111_320 * (1 - radians(here.latitude) ** 2 / 2)
    assert there.latitude > here.latitude
    assert abs(hypot(lat_m, lon_m) - step_m) < 0.01 * step_m + 0.01
