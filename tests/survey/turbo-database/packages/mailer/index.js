export const from = process.env.MAILER_FROM;
