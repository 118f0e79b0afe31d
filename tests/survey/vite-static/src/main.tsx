const api = import.meta.env.VITE_API_URL ?? "https://api.example.com";
if (import.meta.env.DEV) console.log(api, import.meta.env["VITE_THEME"]);
