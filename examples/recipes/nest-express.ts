// NestJS on Express: a controller opens the stream, a service publishes.
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
import type { NestExpressApplication } from "@nestjs/platform-express";
import { createHub, sse } from "@tidewire/express";
import type { Response } from "express";

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

  // `@Res()` tells Nest to leave the response alone.
  @Get()
  stream(@Res() res: Response): void {
    void res.sse.subscribe("news", { latest: 20 });
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

const app = await NestFactory.create<NestExpressApplication>(AppModule, {
  forceCloseConnections: true,
  logger: ["error", "warn"],
});
app.use(sse({ hub }));
app.enableShutdownHooks(["SIGINT", "SIGTERM"], { useProcessExit: true });

const port = Number(process.env["PORT"] ?? 3000);
await app.listen(port, "127.0.0.1");
console.log(`http://127.0.0.1:${port}`);
