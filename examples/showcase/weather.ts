/** The weather of one city, as the page receives it. It is simulated. */
export interface Weather {
  /** Time in ISO 8601, UTC. */
  readonly at: string;
  readonly city: string;
  /** Degrees Celsius, with one decimal. */
  readonly temperature: number;
  readonly sky: Sky;
}

export type Sky = "clear" | "cloudy" | "rain" | "snow" | "fog";

/** Time between two changes in milliseconds. Each change concerns one city. */
const CHANGE_MS = 1_700;

/** From fair to foul. A sky changes by at most one step at a time. */
const SKIES = ["clear", "cloudy", "fog", "rain"] as const;

const CITIES = [
  { city: "Reykjavík", mean: 3 },
  { city: "Nairobi", mean: 21 },
  { city: "Kyoto", mean: 14 },
  { city: "Valparaíso", mean: 17 },
  { city: "Tromsø", mean: -4 },
  { city: "Chennai", mean: 29 },
];

/** Weather that drifts: each change moves one city a little, and towards its mean. */
export interface WeatherSource {
  /** Current weather of every city. */
  current(): readonly Weather[];
  stop(): void;
}

/**
 * Starts the simulation.
 *
 * @param onChange - Receives the new weather of the city that has changed.
 */
export function startWeather(onChange: (weather: Weather) => void): WeatherSource {
  const places = CITIES.map(({ city, mean }) => ({
    city,
    mean,
    degrees: mean + spread(4),
    step: Math.floor(Math.random() * SKIES.length),
  }));
  let turn = 0;
  const timer = setInterval(() => {
    const place = places[turn++ % places.length];
    if (place === undefined) return;
    place.degrees += (place.mean - place.degrees) * 0.1 + spread(1.5);
    if (Math.random() < 0.4) {
      const step = place.step + (Math.random() < 0.5 ? -1 : 1);
      place.step = Math.min(SKIES.length - 1, Math.max(0, step));
    }
    onChange(describe(place));
  }, CHANGE_MS);

  return { current: () => places.map(describe), stop: () => clearInterval(timer) };
}

function describe(place: { city: string; degrees: number; step: number }): Weather {
  const sky: Sky = SKIES[place.step] ?? "clear";
  return {
    at: new Date().toISOString(),
    city: place.city,
    temperature: Math.round(place.degrees * 10) / 10,
    sky: sky === "rain" && place.degrees < 1 ? "snow" : sky,
  };
}

/** @returns A number from `-size` to `size`. */
function spread(size: number): number {
  return (Math.random() * 2 - 1) * size;
}
