import { PrismaClient } from "@prisma/client";

const client = new PrismaClient({ log: process.env.SHOP_QUERY_LOG ? ["query"] : [] });
export const orders = () => client.order.findMany();
