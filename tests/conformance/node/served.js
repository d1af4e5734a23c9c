// The daemon under test, and what its demo model is known to answer.
export const url = process.env.HEARTH_URL;
export const baseURL = `${url}/v1`;
export const model = process.env.HEARTH_MODEL;
export const apiKey = process.env.HEARTH_API_KEY;

export const greeting = 'Who are you?';
export const weatherQuestion = 'What is the weather in Oslo?';
export const deviceText =
    'Return device, site, year and serial as JSON. Text: harbor: radiator UP-693, built in 2026.';
export const device = {device: 'radiator', site: 'harbor', year: 2026, serial: 'UP-693'};
