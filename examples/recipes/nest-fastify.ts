// NestJS on Fastify: a controller opens the stream, a service publishes.
import {
  Body,
  Controller,
  Get,
  HttpCode,
  Inject,
  Injectable,
  Module,
  Post,
  Res,
} from "@nestjs/common";
import type { BeforeApplicationShutdown } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import type { NestFastifyApplication } from "@nestjs/platform-fastify";
import { createHub, ssePlugin } from "@tidewire/fastify";
import type { FastifyReply } from "fastify";

type Channels = { news: { headline: { title: string } } };

const hub = createHub<Channels>();

@Injectable()
class NewsService {
  async announce(title: string): Promise<{ id: string }> {
    return hub.publish("news", { event: "headline", data: { title } });
  }
}

@Controller("news")
class NewsController {
  readonly #news: NewsService;

  constructor(@Inject(NewsService) news: NewsService) {
    this.#news = news;
  }

  // `@Res()` tells Nest to leave the reply alone.
  @Get()
  stream(@Res() reply: FastifyReply): void {
    void reply.sse.subscribe("news", { latest: 20 });
  }

  @Post()
  @HttpCode(202)
  announce(@Body() body: { title: string }): Promise<{ id: string }> {
    return this.#news.announce(body.title);
  }
}

@Module({ controllers: [NewsController], providers: [NewsService] })
class AppModule implements BeforeApplicationShutdown {
  // Before Nest closes the server, which waits for open streams.
  async beforeApplicationShutdown(): Promise<void> {
    await hub.close({ drainMs: 500 });
  }
}

const app = await NestFactory.create<NestFastifyApplication>(
  AppModule,
  new FastifyAdapter({ return503OnClosing: false, forceCloseConnections: true }),
  { logger: ["error", "warn"] },
);
await app.register(ssePlugin, { hub });
app.enableShutdownHooks(["SIGINT", "SIGTERM"], { useProcessExit: true });

const port = Number(process.env["PORT"] ?? 3000);
await app.listen(port, "127.0.0.1");
console.log(`http://127.0.0.1:${port}`);
